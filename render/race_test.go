//go:build race

package render_test

// raceDetector reports that the race detector multiplies the memory of the tests.
const raceDetector = true
