package fleet

// takeOver adds to a change what becomes of clusters that the API declares and whose
// files are new with a release. Where the file has other labels, who declared or
// registered the name was not the one whom it is for: his tokens, his declaration
// and what was written for it end with that.
func (f *Fleet) takeOver(c *Change, d *draft, before *View, s state, b *base) {
	var names []string
	for name, r := range d.from {
		file, there := b.clusters[name]
		if !there || before == nil || r.Declared == nil || r.Orphaned != nil || r.Decommissioned != nil {
			continue
		}
		if before.fileOf(name) || agree(r.Declared.Labels, file.Labels) {
			continue
		}
		names = append(names, name)
		d.drop(name)
		c.Tokens = append(c.Tokens, f.Tokens().endAll(name, c.At)...)
	}
	if len(names) > 0 {
		c.Deltas, c.Pins = s.deltas.without(names...), s.pins.without(names...)
	}
}

// fileOf tells whether a cluster is declared by a file of what it is on.
func (v *View) fileOf(name string) bool {
	m := v.named(name)
	return m != nil && m.Cluster.File != ""
}

// agree tells whether all that was declared is so in the file.
func agree(declared, file map[string]string) bool {
	for key, value := range declared {
		if has, there := file[key]; !there || has != value {
			return false
		}
	}
	return true
}
