//go:build !linux

package pgtest

import "syscall"

// endWithParent does nothing: a test that is killed leaves its server behind.
func endWithParent(*syscall.SysProcAttr) {}
