package fleet

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestInputsAreSplitAsJSONIs(t *testing.T) {
	for _, body := range []string{
		`{"inputs":[]}`,
		`{"inputs":[{"id":"a"}]}`,
		`{"inputs":[{"id":"a","x":{"y":[1,{"z":"}]"}]}},{"id":"b","x":"\"}],[{\\"}]}` + "\n",
		`{"inputs":[{"\\":"\\\"","id":"é\\"},{"id":"{"},{"id":"["}]}`,
	} {
		var want struct{ Inputs []json.RawMessage }
		if err := json.Unmarshal([]byte(body), &want); err != nil {
			t.Fatal(err)
		}
		got, err := splitInputs([]byte(body))
		if err != nil || len(got)+len(want.Inputs) > 0 && !reflect.DeepEqual(got, want.Inputs) {
			t.Errorf("splitInputs(%s) = %s, %v, want %s", body, got, err, want.Inputs)
		}
	}
	for _, body := range []string{``, `{}`, `{"inputs":[{"id":"a"}`, `{"inputs":["`, `{"inputs":["\`} {
		if got, err := splitInputs([]byte(body)); err == nil {
			t.Errorf("splitInputs(%s) = %s, want an error", body, got)
		}
	}
}
