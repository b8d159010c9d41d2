// Package synthetic makes up fleet repos of any size, so that what is promised of ten
// thousand clusters can be measured without ten thousand clusters. What it makes up looks
// like a fleet repo that people keep: a base, an overlay for each environment, a component
// for each region, placement by labels, and a small file for each cluster. Every byte is
// a function of the Options. It knows the file format alone, and never renders.
package synthetic
