package listing

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/selector"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/server/api"
)

// Tokens describes tokens.
var Tokens = Kind[api.Token]{
	Noun: "token",
	Name: func(k api.Token) string { return "token/" + k.Name },
	Columns: []table.Column[api.Token]{
		{Title: "NAME", Text: func(k api.Token) string { return k.Name }},
		{Title: "ID", Text: func(k api.Token) string { return k.ID }},
		{Title: "ROLE", Text: func(k api.Token) string { return string(k.Role) }},
		{Title: "FOR", Long: true, Text: tokenScope},
		{Title: "USES", Text: tokenUses},
		{Title: "LAST USE", Time: func(k api.Token) *time.Time { return k.LastUsedAt }, None: "never"},
		{Title: "EXPIRES", Until: true, Time: func(k api.Token) *time.Time { return k.ExpiresAt }, None: "never"},
		{Title: "REVOKED", Time: func(k api.Token) *time.Time { return k.RevokedAt }},
		{Title: "CREATED BY", Wide: true, Text: func(k api.Token) string { return k.CreatedBy }},
	},
}

// tokenScope returns the clusters that a token is limited to, "" for no limit.
func tokenScope(k api.Token) string {
	switch {
	case k.Selector != nil:
		return selector.Describe(k.Selector, nil)
	case k.Cluster != "":
		return k.Cluster
	}
	return labels.Set(k.Labels).String()
}

func tokenUses(k api.Token) string {
	switch {
	case k.Uses > 0:
		return fmt.Sprintf("%d of %d", k.Used, k.Uses)
	case k.Used > 0:
		return fmt.Sprint(k.Used)
	}
	return ""
}
