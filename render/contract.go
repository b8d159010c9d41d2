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
	walk("", values, func(path string, v any) {
		if tooLarge(v) {
			faults = append(faults, fault{s.inObject(path), fmt.Sprintf(
				"%v is beyond ±(2^53−1), and the client reads numbers as float64; write it as a string", v)})
		}
	})
	walk("", o.value, func(path string, _ any) {
		if path == "$patch" || strings.HasSuffix(path, ".$patch") {
			faults = append(faults, fault{path, "kustomize left this directive standing: it knows no merge key for the list; use a JSON patch"})
		}
	})
	if !s.AllowSecrets && readable(o) {
		faults = append(faults, fault{"data", "is a Secret in the clear, and the client keeps inputs in its status; encrypt it, send a reference, or set allowSecrets: true on the input set"})
	}
	return faults
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

// tooLarge tells whether a number is written as an integer that float64 may
// not hold.
func tooLarge(v any) bool {
	switch v := v.(type) {
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return false
		}
		n, err := v.Int64()
		return err != nil || n > fleet.MaxInteger || n < -fleet.MaxInteger
	case float64: // from 1e21 on it is written with an exponent
		return v == math.Trunc(v) && math.Abs(v) > fleet.MaxInteger && math.Abs(v) < 1e21
	}
	return false
}

// readable tells whether an object is a Secret whose data anyone could read
// who sees it. Values that SOPS encrypted are not.
func readable(o *object) bool {
	if o.Kind != "Secret" || o.APIVersion != "v1" {
		return false
	}
	for _, key := range []string{"data", "stringData"} {
		m, ok := o.value[key].(map[string]any)
		if !ok && o.value[key] != nil {
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
