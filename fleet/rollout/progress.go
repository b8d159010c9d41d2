package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Status returns the progress of a rollout, and whether the next wave may be reached. Have is how
// many clusters of the present wave have the release, and polled how many of them have polled it.
// Pinned clusters, and those that the release is not valid for, have another release.
func Status(r *fleet.Rollout, have, polled int, now time.Time) (status *fleet.RolloutStatus, through bool) {
	status = &fleet.RolloutStatus{Phase: fleet.Progressing, Pause: r.Paused, Since: r.Since, Generation: r.Generation}
	for i := range r.Waves {
		w := r.Waves[i].Status()
		w.Reached = i < r.Step
		status.Waves = append(status.Waves, w)
	}
	status.Waves[r.Step-1].Polled = polled
	why, manual := waitsFor(r, have, polled, now)
	switch {
	case r.Paused != nil:
		status.Phase, status.Reason = fleet.Paused, pauseText(r)
	case manual:
		status.Phase, status.Reason = fleet.Waiting, why
	default:
		status.Reason, through = why, why == ""
	}
	return status, through
}

// waitsFor returns what must happen before the next wave, "" for nothing, and whether somebody
// has to do it.
func waitsFor(r *fleet.Rollout, have, polled int, now time.Time) (why string, manual bool) {
	w := r.Wave()
	if r.Passed {
		return "", false
	}
	share := w.Polled
	if share == 0 {
		share = fleet.DefaultPolled
	}
	needed := (have*share + 99) / 100
	switch soaked := r.Since.Add(w.Soak); {
	case have == 0:
		return "no cluster of the wave has the release; skip the wave, or abort", true
	case polled < needed:
		return fmt.Sprintf("%d of %d clusters have polled it; %d must have", polled, have, needed), false
	case now.Before(soaked):
		return "it soaks until " + soaked.UTC().Format(time.RFC3339), false
	case w.Manual:
		return "somebody has to resume it", true
	}
	return "", false
}

// pauseText says why a rollout is paused.
func pauseText(r *fleet.Rollout) string {
	text := r.Paused.Detail
	switch r.Paused.Reason {
	case fleet.PauseGuard:
		text = "the next wave does more than the guard allows, and more than was approved: " + text + "; resume it to go on nevertheless, or abort it"
	case fleet.PauseInvalid:
		text = "it is not valid for any cluster any more: " + text
	case fleet.PauseReverted:
		return "the source went back to the live release, which does more than the guard allows: " + text + "; " + abortOrResume
	case fleet.PauseManual:
	}
	if r.Reverted {
		text += "; the source went back to the live release meanwhile: " + abortOrResume
	}
	return text
}

const abortOrResume = "abort the rollout to go back, or resume it to go on"

// Steer returns the progress of a rollout after a pause, resume or skip.
func Steer(r *fleet.Rollout, verdict fleet.Verdict, actor, reason string) fleet.RolloutProgress {
	next := r.RolloutProgress
	confirm := func() {
		next.Confirmed = ""
		if next.Paused != nil {
			next.Confirmed = next.Paused.Impact
		}
		next.Paused = nil
	}
	switch verdict {
	case fleet.Pause:
		detail := "paused by " + actor
		if reason != "" {
			detail += ": " + reason
		}
		next.Paused = &fleet.RolloutPause{Reason: fleet.PauseManual, Detail: detail}
	case fleet.Resume:
		next.Passed = next.Passed || next.Paused == nil || next.Paused.Reason == fleet.PauseGuard
		confirm()
	case fleet.Skip:
		next.Passed = true
		confirm()
	}
	return next
}

// CheckVerdict returns an ErrConflict where a verdict does not fit the state of a release, and an
// ErrInvalid where there is no such verdict. Rolling reports whether the release is rolling out.
func CheckVerdict(r *fleet.Release, rolling bool, verdict fleet.Verdict) error {
	ofRollout := slices.Contains([]fleet.Verdict{fleet.Pause, fleet.Resume, fleet.Skip, fleet.Abort}, verdict)
	switch {
	case verdict == fleet.Approve && (r.State == fleet.Held || r.State == fleet.Rejected) && !rolling,
		verdict == fleet.Reject && r.State == fleet.Held, ofRollout && rolling:
		return nil
	}
	is := "it is " + string(r.State)
	switch {
	case rolling:
		is = "it is rolling out"
	case r.State == fleet.Live:
		is += " for the whole fleet"
	}
	switch {
	case verdict == fleet.Approve || verdict == fleet.Reject:
		return fmt.Errorf("release %s: %w: %s; only a held release can be approved or rejected", r.ID, fleet.ErrConflict, is)
	case ofRollout:
		return fmt.Errorf("release %s: %w: %s; only a release that is rolling out can be paused, resumed, skipped or aborted; to go back to an earlier release, pin it",
			r.ID, fleet.ErrConflict, is)
	}
	return fmt.Errorf("verdict %q: %w: it must be approve, reject, pause, resume, skip or abort", verdict, fleet.ErrInvalid)
}
