// Package gitsign tells whether one of the keys that are trusted has signed a Git
// commit or tag. It reads objects byte by byte, in the one form that Git writes,
// because what a library makes of an odd one may not be what was signed. It runs
// no program, asks nobody, and never says what is in a commit.
package gitsign
