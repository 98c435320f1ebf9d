//go:build race

package main

// raceDetector says that all takes several times as long.
const raceDetector = true
