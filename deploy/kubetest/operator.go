package kubetest

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/tributary-gitops/tributary/fleet/storetest/daemon"
)

// StartFluxOperator runs the controllers of Flux Operator in the namespace flux-system
// until the test ends, or stops them. Its custom resources must be installed. It applies the
// objects of ResourceSets. Nothing reconciles a HelmRelease, whose controller is not part of
// it.
func (s *Server) StartFluxOperator(t testing.TB) (stop func()) {
	t.Helper()
	cmd := exec.Command(program(t, "FLUX_OPERATOR"), "--enable-leader-election=false", "--storage-path", t.TempDir(),
		"--metrics-addr", "0", "--health-addr", "127.0.0.1:0", "--web-server-port", "0")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.Kubeconfig(t, "flux-system"), "RUNTIME_NAMESPACE=flux-system",
		"GODEBUG=fips140=on") // it does not start otherwise
	process := daemon.Start(t, cmd)
	t.Cleanup(func() {
		process.Stop(syscall.SIGKILL, timeout)
		if t.Failed() {
			t.Logf("flux-operator:\n%s", process.Output())
		}
	})
	return func() { process.Stop(syscall.SIGKILL, timeout) }
}
