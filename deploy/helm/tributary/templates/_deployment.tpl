{{- /*
A Deployment of servers. root is the root context of the chart. argument is the first
argument of serve: a source or --read-only. store is the Secret of a database, or empty for
SQLite.
*/ -}}
{{- define "tributary.deployment" -}}
{{- $v := .root.Values }}
{{- $files := include "tributary.files" .root | fromYamlArray }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  labels:
    {{- include "tributary.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  replicas: {{ .replicas }}
  strategy:
    {{- if .store }}
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
    {{- else }}
    # The change log is a file that only one server can write. While the server is down,
    # Flux keeps what it has.
    type: Recreate
    {{- end }}
  selector:
    matchLabels:
      {{- include "tributary.selector" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
  template:
    metadata:
      labels:
        {{- include "tributary.selector" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
        {{- with $v.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "tributary.name" .root }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- with $v.imagePullSecrets }}
      imagePullSecrets:
      {{- range . }}
      - name: {{ . }}
      {{- end }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        fsGroup: 65532
        seccompProfile:
          type: RuntimeDefault
      {{- with $v.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $v.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if .store }}
      # Spread the servers if possible. Two on one node are better than one.
      topologySpreadConstraints:
      {{- range $topology := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
      - topologyKey: {{ $topology }}
        maxSkew: 1
        whenUnsatisfiable: ScheduleAnyway
        labelSelector:
          matchLabels:
            {{- include "tributary.selector" $.root | nindent 12 }}
            app.kubernetes.io/component: {{ $.component }}
        matchLabelKeys: [pod-template-hash]
      {{- end }}
      {{- end }}
      containers:
      - name: tributary
        image: {{ printf "%s:%s" $v.image.repository (default .root.Chart.AppVersion $v.image.tag) | quote }}
        args:
        - serve
        - {{ .argument | quote }}
        - --listen=:8080
        {{- if ternary .root.Release.IsUpgrade $v.store.require (kindIs "invalid" $v.store.require) }}
        - --require-store
        {{- end }}
        {{- range $files }}
        {{- with .arg }}
        - {{ . }}
        {{- end }}
        {{- end }}
        {{- if $v.tls.secret }}
        - --tls-key-file=/etc/tributary-tls/tls.key
        {{- end }}
        {{- with $v.auth.oidc }}
        {{- if .issuer }}
        - {{ printf "--oidc-issuer=%s" .issuer | quote }}
        - {{ printf "--oidc-audience=%s" .audience | quote }}
        {{- end }}
        {{- end }}
        {{- with .limits }}
        - --max-file-size={{ .maxFileSize }}
        - --max-tree-size={{ .maxTreeSize }}
        - --max-files={{ int .maxFiles }}
        {{- end }}
        {{- range .args }}
        - {{ . | quote }}
        {{- end }}
        env:
        - name: TRIBUTARY_STORE
          {{- if .store }}
          valueFrom:
            secretKeyRef:
              name: {{ .store }}
              key: url
          {{- else }}
          value: sqlite:/var/lib/tributary/tributary.db
          {{- end }}
        {{- with $v.goMemLimit }}
        - name: GOMEMLIMIT
          value: {{ . }}
        {{- end }}
        ports:
        - name: http
          containerPort: 8080
        # A server may have to migrate the change log before it listens. This does not wait
        # for a release, which a restart would not produce.
        startupProbe:
          {{- include "tributary.probe" (dict "root" .root "path" "/healthz") | nindent 10 }}
          periodSeconds: 2
          failureThreshold: 150
        livenessProbe:
          {{- include "tributary.probe" (dict "root" .root "path" "/healthz") | nindent 10 }}
        # Not ready until there is a good release, so that no poll reaches a server without
        # one.
        readinessProbe:
          {{- include "tributary.probe" (dict "root" .root "path" "/readyz") | nindent 10 }}
          periodSeconds: 5
        {{- if .store }}
        # Keep answering until no new connections are routed here.
        lifecycle:
          preStop:
            sleep:
              seconds: 5
        {{- end }}
        resources:
          {{- toYaml $v.resources | nindent 10 }}
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities:
            drop: [ALL]
        volumeMounts:
        {{- range $files }}
        - {name: {{ .name }}, mountPath: {{ .path }}, readOnly: true}
        {{- end }}
        {{- if not .store }}
        - {name: data, mountPath: /var/lib/tributary}
        {{- end }}
        - {name: tmp, mountPath: /tmp}
      volumes:
      {{- range $files }}
      - name: {{ .name }}
        {{- toYaml .source | nindent 8 }}
      {{- end }}
      {{- if not .store }}
      # The change log. Back it up.
      - name: data
        persistentVolumeClaim:
          claimName: {{ .name }}
      {{- end }}
      - name: tmp
        emptyDir:
          sizeLimit: 2Gi
{{- end }}

{{- /* A Service for the Deployment, and a disruption budget if there can be several servers. */ -}}
{{- define "tributary.service" -}}
{{- $v := .root.Values }}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  labels:
    {{- include "tributary.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
  {{- with $v.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $v.service.type }}
  selector:
    {{- include "tributary.selector" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
  ports:
  - name: {{ ternary "https" "http" (ne $v.tls.secret "") }}
    port: {{ ternary 443 80 (ne $v.tls.secret "") }}
    targetPort: http
{{- if .store }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  labels:
    {{- include "tributary.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  maxUnavailable: 1
  # A server that is not ready serves nobody, and must not block the draining of a node.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "tributary.selector" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
{{- end }}
{{- end }}
