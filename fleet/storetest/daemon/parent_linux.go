package daemon

import "syscall"

// endWithParent makes a process stop at once when the thread that started it
// has ended.
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }
