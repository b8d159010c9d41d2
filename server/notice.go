package server

import "encoding/json"

// notice is the beginning of a webhook's body. All that is asked of it is
// whether the source can have moved, which stands in the first few hundred bytes.
type notice []byte

// longestNotice bounds what a webhook costs in memory and in parsing.
const longestNotice = 16 << 10

// Write implements io.Writer. It keeps what there is room for.
func (n *notice) Write(p []byte) (int, error) {
	*n = append(*n, p[:min(len(p), longestNotice-len(*n))]...)
	return len(p), nil
}

// read decodes the body, and tells whether it is of v's shape. One that was cut
// off is no JSON.
func (n notice) read(v any) bool { return json.Unmarshal(n, v) == nil }
