package flags

import (
	"fmt"
	"strconv"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/tributary-gitops/tributary/sources"
)

// bindTreeLimits adds the flags that limit the size of a snapshot to f.
func bindTreeLimits(f *pflag.FlagSet, l *sources.Limits) {
	*l = l.OrDefaults()
	f.Var(size{&l.FileSize}, "max-file-size", "largest file that can be used, such as 16Mi; no cluster can use a larger one")
	f.Var(size{&l.TreeSize}, "max-tree-size", "largest size of all files together, such as 256Mi")
	f.Var(count{&l.Files}, "max-files", "largest number of files and directories")
}

// size is the value of a flag that takes a number of bytes as Kubernetes writes it.
type size struct{ bytes *int64 }

func (size) Type() string { return "size" }

func (s size) String() string {
	if s.bytes == nil {
		return ""
	}
	return resource.NewQuantity(*s.bytes, resource.BinarySI).String()
}

func (s size) Set(value string) error {
	q, err := resource.ParseQuantity(value)
	if err != nil || q.Value() < 1 || q.Value() > 1<<40 {
		return fmt.Errorf("is not a size from 1 to 1Ti; write it as 16Mi")
	}
	*s.bytes = q.Value()
	return nil
}

// count is the value of a flag that takes a positive number.
type count struct{ n *int }

func (count) Type() string { return "int" }

func (c count) String() string {
	if c.n == nil {
		return ""
	}
	return strconv.Itoa(*c.n)
}

func (c count) Set(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > 100_000_000 {
		return fmt.Errorf("is not a number from 1 to 100000000")
	}
	*c.n = n
	return nil
}
