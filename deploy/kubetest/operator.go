package kubetest

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/tributary-gitops/tributary/fleet/storetest/daemon"
)

// StartFluxOperator runs Flux Operator's own controllers in the namespace
// flux-system until the test ends. Its kinds have to be known already. It applies
// what ResourceSets make; nothing comes of a HelmRelease, whose controller is
// another's.
func (s *Server) StartFluxOperator(t testing.TB) {
	t.Helper()
	cmd := exec.Command(program(t, "FLUX_OPERATOR"), "--enable-leader-election=false", "--storage-path", t.TempDir(),
		"--metrics-addr", "0", "--health-addr", "127.0.0.1:0", "--web-server-port", "0")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.Kubeconfig(t, "flux-system"), "RUNTIME_NAMESPACE=flux-system",
		"GODEBUG=fips140=on") // without which it does not start
	process := daemon.Start(t, cmd)
	t.Cleanup(func() {
		process.Stop(syscall.SIGKILL, patience)
		if t.Failed() {
			t.Logf("flux-operator:\n%s", process.Output())
		}
	})
}
