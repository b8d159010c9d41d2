package signature

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
)

const (
	beginOpenPGP = "-----BEGIN PGP SIGNATURE-----"
	beginSSH     = "-----BEGIN SSH SIGNATURE-----"
	beginX509    = "-----BEGIN SIGNED MESSAGE-----"
)

// dearmor decodes a block of text that begins with a given line and contains
// nothing else. It is stricter than libraries, because the object's content
// that they skip is not signed.
func dearmor(text []byte, begin string) ([]byte, error) {
	lines := strings.Split(strings.TrimRight(string(text), " \t\r\n"), "\n")
	for i, line := range lines {
		if begin == beginOpenPGP { // ssh-keygen allows no blanks there.
			lines[i] = strings.TrimRight(line, " \t\r")
		}
	}
	last := len(lines) - 1
	end := slices.Index(lines, strings.Replace(begin, "BEGIN", "END", 1))
	switch {
	case lines[0] != begin:
		return nil, errors.New("its first line is damaged")
	case end < 0:
		return nil, errors.New("its last line is missing")
	case end < last:
		return nil, errors.New("unsigned data follows it")
	}
	if begin == beginOpenPGP {
		return dearmorOpenPGP(lines[1:last])
	}
	return decodeLines(lines[1:last])
}

// armorKeys are the headers of OpenPGP's armor. They are not signed, and their
// values are ignored.
var armorKeys = []string{"Version", "Comment", "MessageID", "Hash", "Charset"}

func dearmorOpenPGP(lines []string) ([]byte, error) {
	blank := slices.Index(lines, "")
	if blank < 0 {
		return nil, errors.New("it has no blank line before its data")
	}
	for _, line := range lines[:blank] {
		if key, _, ok := strings.Cut(line, ": "); !ok || !slices.Contains(armorKeys, key) {
			return nil, errors.New("it has an unknown header")
		}
	}
	lines = lines[blank+1:]
	last := len(lines) - 1
	if last < 0 || !strings.HasPrefix(lines[last], "=") {
		return decodeLines(lines) // RFC 9580 makes the checksum optional.
	}
	data, err := decodeLines(lines[:last])
	if err != nil {
		return nil, err
	}
	sum, err := decodeLines([]string{lines[last][1:]})
	if err != nil || len(sum) != 3 || crc24(data) != binary.BigEndian.Uint32([]byte{0, sum[0], sum[1], sum[2]}) {
		return nil, errors.New("its checksum does not match its data")
	}
	return data, nil
}

func decodeLines(lines []string) ([]byte, error) {
	data, err := base64.StdEncoding.Strict().DecodeString(strings.Join(lines, ""))
	if err != nil || len(data) == 0 {
		return nil, errors.New("its data is not Base64")
	}
	return data, nil
}

// crc24 is the checksum of RFC 4880, section 6.1.
func crc24(data []byte) uint32 {
	crc := uint32(0xb704ce)
	for _, b := range data {
		crc ^= uint32(b) << 16
		for range 8 {
			if crc <<= 1; crc&0x1000000 != 0 {
				crc ^= 0x1864cfb
			}
		}
	}
	return crc
}
