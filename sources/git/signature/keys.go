package signature

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"golang.org/x/crypto/ssh"
)

// maxKeyFile is the maximum size of a file of public keys in bytes.
const maxKeyFile = 1 << 20

// Keys are trusted public keys. It is safe for concurrent use.
type Keys struct {
	openpgp openpgp.EntityList
	ssh     []sshKey
	// unusable says why OpenPGP keys were left out.
	unusable []string
	// sum is a digest of the files. Callers that remember what was verified use
	// it to notice that the keys have changed. It does not change when a key
	// expires.
	sum [sha256.Size]byte
	now func() time.Time
}

// ReadKeys reads public keys from files: OpenPGP keyrings, armored or binary,
// and SSH keys, one per line as in authorized_keys or allowed_signers.
func ReadKeys(files []string) (*Keys, error) {
	k := &Keys{now: time.Now}
	sum := sha256.New()
	for _, name := range files {
		content, err := readKeyFile(name)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(sum, "%d ", len(content))
		sum.Write(content)
		if err := k.add(name, content); err != nil {
			return nil, err
		}
	}
	if len(k.openpgp)+len(k.ssh) == 0 {
		return nil, errors.New("there are no public keys to verify signatures with; name files that contain some")
	}
	k.sum = [sha256.Size]byte(sum.Sum(nil))
	return k, nil
}

// Sum returns a digest of the files, which differs if any of them has changed.
func (k *Keys) Sum() [sha256.Size]byte { return k.sum }

func readKeyFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxKeyFile {
		return nil, fmt.Errorf("%s: is larger than %d MiB, which is too large for a file of public keys", name, maxKeyFile>>20)
	}
	return content, nil
}

const (
	beginKeyring = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
	endKeyring   = "-----END PGP PUBLIC KEY BLOCK-----"
)

var privateKey = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY`)

var errPrivateKey = errors.New("contains a private key, which should never be where only public keys are needed: replace it with the public key")

// add adds the keys of a file, which must contain at least one.
func (k *Keys) add(name string, content []byte) error {
	before := len(k.openpgp) + len(k.ssh)
	var err error
	switch {
	case len(content) > 0 && content[0]&0x80 != 0: // The first bit of each packet is set.
		err = atLine(name, 0, k.addKeyring(bytes.NewReader(content)))
	case privateKey.Match(content):
		err = atLine(name, 0, errPrivateKey)
	default:
		err = k.addText(name, string(content))
	}
	switch {
	case err != nil:
		return err
	case len(k.openpgp)+len(k.ssh) > before:
		return nil
	case len(k.unusable) > 0:
		return atLine(name, 0, fmt.Errorf("contains no usable OpenPGP key: %s", k.unusable[len(k.unusable)-1]))
	}
	return atLine(name, 0, errors.New("contains no OpenPGP or SSH public key for git"))
}

// atLine adds the position to an error; line is 0 for a file without lines.
func atLine(name string, line int, err error) error {
	switch {
	case err == nil:
		return nil
	case line == 0:
		return fmt.Errorf("%s: %w", name, err)
	}
	return fmt.Errorf("%s:%d: %w", name, line, err)
}

// addText adds armored keyrings, of which there may be several, or SSH keys.
// Armor may be surrounded by text, but not by SSH keys, which would be skipped
// silently.
func (k *Keys) addText(name, content string) error {
	armored := strings.Contains(content, beginKeyring)
	var block []string
	number := 0
	for line := range strings.Lines(content) {
		number++
		line = strings.TrimSpace(line)
		var err error
		switch {
		case block != nil || line == beginKeyring:
			block = append(block, line)
			if line == endKeyring {
				err = k.addArmored(strings.Join(block, "\n") + "\n")
				block = nil
			}
		case line == "", strings.HasPrefix(line, "#"):
		case armored:
			if _, _, failed := parseSSHLine(line); failed == nil {
				err = errors.New("an SSH key in a file of OpenPGP keys: move it to a file of its own")
			}
		default:
			err = k.addSSHLine(line)
		}
		if err != nil {
			return atLine(name, number, err)
		}
	}
	if block != nil {
		return atLine(name, number, errors.New("the OpenPGP key is cut off: export it again"))
	}
	return nil
}

func (k *Keys) addSSHLine(line string) error {
	key, forGit, err := parseSSHLine(line)
	if err == nil && forGit {
		k.ssh = append(k.ssh, key)
	}
	return err
}

func (k *Keys) addArmored(block string) error {
	armored, err := armor.Decode(strings.NewReader(block))
	if err != nil {
		return err
	}
	return k.addKeyring(armored.Body)
}

func (k *Keys) addKeyring(r io.Reader) error {
	keys, unusable, err := readOpenPGP(r)
	if err != nil {
		if !errors.Is(err, errPrivateKey) && !errors.Is(err, errRevocation) {
			err = fmt.Errorf("is not an OpenPGP keyring: %s; export it again with gpg --export --armor", quoteForeign(err.Error()))
		}
		return err
	}
	k.openpgp = append(k.openpgp, keys...)
	k.unusable = append(k.unusable, unusable...)
	return nil
}

// trusted lists a few of the keys, as a hint for someone who signed with
// another one.
func (k *Keys) trusted() string {
	const few = 3
	var names []string
	for _, e := range k.openpgp {
		names = append(names, e.PrimaryKey.KeyIdString())
	}
	for _, key := range k.ssh {
		names = append(names, ssh.FingerprintSHA256(key))
	}
	if len(names) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
	}
	return strings.Join(names, ", ")
}
