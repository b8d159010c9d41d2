package render

import "testing"

// TestForgottenWithTheRevisionAfterTheNext holds that a server that runs for months
// remembers no more than what the last revisions have.
func TestForgottenWithTheRevisionAfterTheNext(t *testing.T) {
	var r readings
	first := r.next()
	first.store("kept", 1, maxMemo)
	first.store("dropped", 1, maxMemo)
	second := r.next()
	if _, known := second.load("kept"); !known {
		t.Error("the next revision does not know what the one before read")
	}
	third := r.next()
	if _, known := third.load("kept"); !known {
		t.Error("what each revision has is not remembered")
	}
	if _, known := third.load("dropped"); known {
		t.Error("what the revision before did not have is remembered")
	}
	if first.earlier.Load() != nil || second.earlier.Load() != nil {
		t.Error("a revision keeps those before it")
	}
}
