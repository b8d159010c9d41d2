package render_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render"
	"github.com/tributary-gitops/tributary/render/hostiletest"
)

const hostileTree = "TRIBUTARY_TEST_HOSTILE_TREE" // the index of the tree that a child process renders

// Limits on the process that renders one hostile tree. The time is many times what it takes, so that
// a busy machine does not matter: without bounds most of the trees take hours, or all memory.
const (
	hostileTime   = 2 * time.Minute
	hostileMemory = 512 << 20
	hostileData   = 2 << 30 // beyond it the kernel ends the process
)

// TestHostileTreesEnd renders a hundred hostile trees, each in a process of its own with limited time
// and memory. Each ends with a fault, or is rendered.
func TestHostileTreesEnd(t *testing.T) {
	if index := os.Getenv(hostileTree); index != "" {
		renderHostile(t, index)
		return
	}
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for i, tree := range hostiletest.Trees(trees()) {
		t.Run(tree.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), hostileTime)
			defer cancel()
			child := exec.CommandContext(ctx, program, "-test.run=^TestHostileTreesEnd$", "-test.v")
			child.Env = append(os.Environ(), fmt.Sprintf("%s=%d", hostileTree, i), "GOMEMLIMIT=400MiB")
			start := time.Now()
			out, err := child.CombinedOutput()
			usage := child.ProcessState.SysUsage().(*syscall.Rusage)
			peak := usage.Maxrss << 10
			switch {
			case ctx.Err() != nil:
				t.Fatalf("it does not end within %s", hostileTime)
			case err != nil:
				t.Fatalf("%v: %.2000s", err, out)
			case peak > hostileMemory && !raceDetector:
				t.Errorf("it takes %d MiB, want at most %d MiB", peak>>20, hostileMemory>>20)
			}
			if rendered := strings.Contains(string(out), "rendered whole"); rendered != tree.Valid {
				t.Errorf("it is rendered: %v, want %v", rendered, tree.Valid)
			}
			t.Logf("%s, %s of CPU time, %d MiB", time.Since(start).Round(time.Millisecond), (time.Duration(usage.Utime.Nano()) + time.Duration(usage.Stime.Nano())).Round(time.Millisecond), peak>>20)
		})
	}
}

func trees() int {
	if testing.Short() {
		return 14
	}
	return 100
}

func renderHostile(t *testing.T, index string) {
	limit := syscall.Rlimit{Cur: hostileData, Max: hostileData}
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &limit); err != nil && !raceDetector {
		t.Fatal(err)
	}
	var i int
	if _, err := fmt.Sscan(index, &i); err != nil {
		t.Fatal(err)
	}
	tree := hostiletest.Trees(i + 1)[i]
	repo, err := render.Renderer{}.Compile(t.Context(), fs.FS(tree.Files))
	if err != nil {
		t.Fatal(err)
	}
	problems := repo.Problems().Faults()
	for _, c := range repo.Clusters() {
		rendering, found := repo.Render(t.Context(), c, nil, nil)
		if rendering == nil {
			problems = append(problems, found.Faults()...)
		}
		if rendering == nil && len(problems) == 0 {
			problems = fleet.Problems{{Message: errors.New("no rendering and no fault").Error()}}
		}
	}
	if len(problems) == 0 {
		fmt.Println("rendered whole")
		return
	}
	fmt.Printf("%d faults: %.300s\n", len(problems), problems[0].String())
}
