package render

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tributary-gitops/tributary/fleet"
)

// maxWaves bounds the waves of a rollout: every cluster is held against all of them.
const maxWaves = 100

// rollout is spec.rollout of fleet.yaml.
type rollout struct {
	Waves []wave `json:"waves"`
}

// wave is one entry of spec.rollout.waves: fleet.WaveRule as it is written.
type wave struct {
	Name     string          `json:"name"`
	Selector *fleet.Selector `json:"selector"`
	Soak     duration        `json:"soak"`
	Gate     string          `json:"gate"`
	Polled   percent         `json:"polled"`
}

// manualGate is the one kind of gate that there is.
const manualGate = "manual"

func (r *rollout) check(d *document, path string) {
	if n := len(r.Waves); n > maxWaves {
		d.problem(path, "has %d waves; a rollout may have %d", n, maxWaves)
		return
	}
	for i := range r.Waves {
		w := &r.Waves[i]
		w.check(d, field(path, i))
		if slices.ContainsFunc(r.Waves[:i], func(earlier wave) bool { return earlier.Name == w.Name }) {
			d.problem(field(path, i)+".name", "%q names a wave already; each needs a name of its own", w.Name)
		}
		if first := slices.IndexFunc(r.Waves[:i], w.isWithin); first >= 0 {
			d.warning(field(path, i)+".selector", "leaves no cluster to the wave: %s has taken all that it selects", field(path, first))
		}
	}
}

func (w *wave) check(d *document, path string) {
	if !isDNSLabel(w.Name) {
		d.problem(path+".name", "%q must be a DNS-1123 label: lower case letters, digits and -, at most 63", w.Name)
	}
	if w.Selector == nil { // an author who forgot it would not expect the whole fleet to be his canary
		d.problem(path+".selector", "must say which clusters are of the wave; {} is all that are left")
	} else {
		compileSelector(d, path+".selector", *w.Selector)
	}
	if w.Gate != "" && w.Gate != manualGate {
		d.problem(path+".gate", "%q must be %s, or absent", w.Gate, manualGate)
	}
}

// isWithin tells whether an earlier wave certainly takes all clusters of this one.
func (w *wave) isWithin(earlier wave) bool {
	if w.Selector == nil || earlier.Selector == nil {
		return false
	}
	everything := len(earlier.Selector.MatchLabels)+len(earlier.Selector.MatchExpressions) == 0
	return everything || reflect.DeepEqual(w.Selector, earlier.Selector)
}

func (w *wave) rule() fleet.WaveRule {
	out := fleet.WaveRule{Name: w.Name, Soak: time.Duration(w.Soak), Manual: w.Gate == manualGate, Polled: int(w.Polled)}
	if w.Selector != nil {
		out.Selector = *w.Selector
	}
	if out.Polled == 0 {
		out.Polled = fleet.DefaultPolled
	}
	return out
}

// Waves implements fleet.Repo.
func (r *Repo) Waves() []fleet.WaveRule { return slices.Clone(r.waves) }

// duration is a time span as Go writes it.
type duration time.Duration

func (v *duration) decodeNode(d *document, path string, n *yaml.Node) {
	if isNull(n) {
		return
	}
	span, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || span < 0 {
		d.problem(path, "must be a duration such as 10m or 1h30m, is %s", describe(n))
	}
	*v = duration(span)
}

// percent is a share from 1 to 100, as a number or with the sign; 0 where it is not
// given.
type percent int

func (v *percent) decodeNode(d *document, path string, n *yaml.Node) {
	if isNull(n) {
		return
	}
	share, err := strconv.Atoi(strings.TrimSuffix(n.Value, "%"))
	if n.Kind != yaml.ScalarNode || err != nil || share < 1 || share > 100 {
		d.problem(path, "must be a share from 1 to 100 per cent, such as 90 or 90%%, is %s", describe(n))
	}
	*v = percent(share)
}
