package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// machine describes the machine and the day of a measurement.
func machine() ([]setting, error) {
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return nil, err
	}
	cpus, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return nil, err
	}
	model := "unknown"
	if found := regexp.MustCompile(`(?m)^model name\s*: (.*)$`).FindSubmatch(cpus); found != nil {
		model = string(found[1])
	}
	return []setting{
		{"date", time.Now().UTC().Format(time.DateOnly)},
		{"kernel", fmt.Sprintf("%s %s, %s", runtime.GOOS, strings.TrimSpace(string(kernel)), runtime.GOARCH)},
		{"cpu", model},
		{"cores", fmt.Sprint(runtime.NumCPU())},
		{"go", runtime.Version()},
	}, nil
}
