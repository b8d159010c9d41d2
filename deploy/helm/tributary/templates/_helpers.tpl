{{- define "tributary.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains "tributary" $name) }}{{ $name = printf "%s-tributary" $name }}{{ end -}}
{{- $name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "tributary.selector" -}}
app.kubernetes.io/name: tributary
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tributary.labels" -}}
{{ include "tributary.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* An HTTP probe of a path. */ -}}
{{- define "tributary.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
  {{- if .root.Values.tls.secret }}
  scheme: HTTPS
  {{- end }}
timeoutSeconds: 3
{{- end }}

{{- /* The volumes of all servers: name, mount path, Secret or ConfigMap, and flag. */ -}}
{{- define "tributary.files" -}}
{{- $v := .Values }}
{{- with $v.auth.tokensSecret }}
- {name: tokens, path: /etc/tributary, source: {secret: {secretName: {{ . }}}}, arg: --tokens-file=/etc/tributary/tokens.yaml}
{{- end }}
{{- with $v.auth.adminTokenSecret }}
- {name: admin-token, path: /etc/tributary-admin-token, source: {secret: {secretName: {{ . }}}}, arg: --admin-token-file=/etc/tributary-admin-token/token}
{{- end }}
{{- with $v.auth.clientCASecret }}
- {name: client-ca, path: /etc/tributary-client-ca, source: {secret: {secretName: {{ . }}}}, arg: --client-ca-file=/etc/tributary-client-ca/ca.crt}
{{- end }}
{{- if $v.auth.oidc.issuer }}
- {name: oidc, path: /etc/tributary-oidc, source: {configMap: {name: {{ include "tributary.name" . }}-oidc}}, arg: --oidc-rules-file=/etc/tributary-oidc/rules.yaml}
{{- end }}
{{- with $v.tls.secret }}
- {name: tls, path: /etc/tributary-tls, source: {secret: {secretName: {{ . }}}}, arg: --tls-cert-file=/etc/tributary-tls/tls.crt}
{{- end }}
{{- with $v.filesSecret }}
- {name: files, path: /etc/tributary-files, source: {secret: {secretName: {{ . }}}}}
{{- end }}
{{- end }}
