package daemon

import "syscall"

// endWithParent makes a process end when the thread that started it ends.
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }
