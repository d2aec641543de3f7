package directory

import (
	"strings"

	"github.com/trustelem/zxcvbn/frequency"
	"golang.org/x/text/unicode/norm"
)

// isCommon reports whether a password is one of the 30,000 most common passwords in
// leaked lists, or equals the user's name; both ignore case (NIST SP 800-63B section
// 3.1.1.2).
func isCommon(name, password string) bool {
	password = strings.TrimSpace(norm.NFKC.String(password))
	if strings.EqualFold(password, norm.NFKC.String(name)) {
		return true
	}
	for _, common := range frequency.FrequencyLists["passwords"] {
		if strings.EqualFold(password, common) {
			return true
		}
	}
	return false
}
