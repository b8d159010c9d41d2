package main

import (
	"bytes"
	"fmt"
)

const (
	width, height = 760, 420
	left, bottom  = 60, 50
	right, top    = 180, 20
)

var colours = []string{"#1f77b4", "#d62728", "#2ca02c", "#9467bd"}

// plot draws each cost relative to that of the largest fleet, so that costs with different
// units fit into one picture and linear growth is a straight line. It returns nil for
// fewer than two sizes.
func plot(sizes []size) []byte {
	if len(sizes) < 2 {
		return nil
	}
	last := sizes[len(sizes)-1]
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&out, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	axes(&out, sizes)
	for i, c := range costs {
		var points bytes.Buffer
		for _, s := range sizes {
			x, y := at(float64(s.clusters)/float64(last.clusters), s.costs[c.metric]/last.costs[c.metric])
			fmt.Fprintf(&points, "%.1f,%.1f ", x, y)
			fmt.Fprintf(&out, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x, y, colours[i])
		}
		fmt.Fprintf(&out, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", bytes.TrimSpace(points.Bytes()), colours[i])
		fmt.Fprintf(&out, `<text x="%d" y="%d" fill="%s">%s (%s %s)</text>`+"\n", width-right+10, top+20+18*i, colours[i],
			c.name, number(last.costs[c.metric]), c.unit)
	}
	out.WriteString("</svg>\n")
	return out.Bytes()
}

// at maps coordinates from 0 to 1 to the picture.
func at(x, y float64) (float64, float64) {
	return left + x*(width-left-right), height - bottom - y*(height-bottom-top)
}

func axes(out *bytes.Buffer, sizes []size) {
	x0, y0 := at(0, 0)
	x1, y1 := at(1, 1)
	fmt.Fprintf(out, `<path d="M%.0f %.0fV%.0fH%.0f" fill="none" stroke="black"/>`+"\n", x0, y1, y0, x1)
	for _, s := range sizes {
		x, _ := at(float64(s.clusters)/float64(sizes[len(sizes)-1].clusters), 0)
		fmt.Fprintf(out, `<text x="%.0f" y="%.0f" text-anchor="middle">%s</text>`+"\n", x, y0+18, number(float64(s.clusters)))
	}
	for _, share := range []float64{0, 0.5, 1} {
		_, y := at(0, share)
		fmt.Fprintf(out, `<text x="%.0f" y="%.0f" text-anchor="end">%.0f %%</text>`+"\n", x0-6, y+4, share*100)
	}
	fmt.Fprintf(out, `<text x="%.0f" y="%.0f" text-anchor="middle">clusters; each cost as a share of that of the largest fleet</text>`+"\n", (x0+x1)/2, y0+38)
}
