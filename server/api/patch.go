package api

import "github.com/tributary-gitops/tributary/fleet"

// The media types of patches.
const (
	MergePatchType          = "application/merge-patch+json" // RFC 7386
	JSONPatchType           = "application/json-patch+json"  // RFC 6902
	StrategicMergePatchType = "application/strategic-merge-patch+json"
)

// PatchTypes are the languages of patches of an object, by media type.
var PatchTypes = map[string]fleet.PatchType{
	MergePatchType:          fleet.MergePatch,
	JSONPatchType:           fleet.JSONPatch,
	StrategicMergePatchType: fleet.StrategicMergePatch,
}
