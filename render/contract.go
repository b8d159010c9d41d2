package render

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// contract checks one input against what the client can take, and against what
// must never be sent to it.
func (s *inputSet) contract(o *object, values map[string]any) []fault {
	var faults []fault
	if harmless(values) && harmless(o.values()) {
		return s.secret(o, nil)
	}
	walk("", values, func(path string, v any) {
		if tooLarge(v) {
			faults = append(faults, fault{s.inObject(path), fmt.Sprintf(
				"%v is beyond ±(2^53−1), and the client reads numbers as float64; write it as a string", v)})
		}
	})
	walk("", o.values(), func(path string, _ any) {
		if isDirective(path) {
			faults = append(faults, fault{path, leftStanding})
		}
	})
	return s.secret(o, faults)
}

// secret adds that a Secret must not be in the set.
func (s *inputSet) secret(o *object, faults []fault) []fault {
	if !s.AllowSecrets && readable(o) {
		faults = append(faults, fault{"data", "is a Secret in the clear, and the client keeps inputs in its status; encrypt it, send a reference, or set allowSecrets: true on the input set"})
	}
	return faults
}

// harmless tells that nothing below v is too large or a directive, which walk would tell
// of with its path. It takes a tenth of the time.
func harmless(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			if strings.HasSuffix(key, "$patch") || !harmless(child) {
				return false
			}
		}
	case []any:
		for _, child := range v {
			if !harmless(child) {
				return false
			}
		}
	default:
		return !tooLarge(v)
	}
	return true
}

const leftStanding = "kustomize left this directive standing: it knows no merge key for the list; use a JSON patch"

func isDirective(path string) bool { return path == "$patch" || strings.HasSuffix(path, ".$patch") }

// directiveIn returns the path of a directive that was left standing, "" if
// none was: the first of them by name.
func directiveIn(value map[string]any) (found string) {
	walk("", value, func(path string, _ any) {
		if isDirective(path) && (found == "" || path < found) {
			found = path
		}
	})
	return found
}

// walk calls f for every value below v, with its path.
func walk(path string, v any, f func(path string, v any)) {
	if path != "" {
		f(path, v)
	}
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			walk(join(path, key), child, f)
		}
	case []any:
		for i, child := range v {
			walk(path+"["+strconv.Itoa(i)+"]", child, f)
		}
	}
}

// tooLarge tells whether float64 may not hold a number as it is written: one that
// is beyond all of them, or an integer beyond those that it can tell apart. What
// is written with an exponent says itself that it is not exact.
func tooLarge(v any) bool {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		exponent := strings.ContainsAny(v.String(), "eE")
		return err != nil || !exponent && f == math.Trunc(f) && beyondIntegers(v, f)
	case float64: // from 1e21 on it is written with an exponent
		return v == math.Trunc(v) && math.Abs(v) > fleet.MaxInteger && math.Abs(v) < 1e21
	}
	return false
}

// beyondIntegers looks at the digits where there are no others: 2^53 and 2^53+1 are
// the same float64.
func beyondIntegers(v json.Number, f float64) bool {
	n, err := v.Int64()
	if err != nil {
		return math.Abs(f) > fleet.MaxInteger
	}
	return n > fleet.MaxInteger || n < -fleet.MaxInteger
}

// readable tells whether an object is a Secret whose data anyone could read
// who sees it. Values that SOPS encrypted are not.
func readable(o *object) bool {
	if o.Kind != "Secret" || o.APIVersion != "v1" {
		return false
	}
	for _, key := range []string{"data", "stringData"} {
		value := o.values()[key]
		m, ok := value.(map[string]any)
		if !ok && value != nil {
			return true
		}
		for _, v := range m {
			if text, _ := scalarText(v); !strings.HasPrefix(text, "ENC[") {
				return true
			}
		}
	}
	return false
}
