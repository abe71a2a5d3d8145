{{/* From the root: labels by which Services and policies select pods; they never change. */}}
{{- define "mlops.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* From the root: labels of every object. */}}
{{- define "mlops.labels" -}}
{{ include "mlops.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* From image and name, its name in the values: the image with its digest or tag, or nothing. */}}
{{- define "mlops.image" -}}
{{- with .image }}
{{- if or .digest .tag }}
{{- required (printf "%s.repository is empty: say where the image is" $.name) .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* From the root: the pipelines' image, or nothing. */}}
{{- define "mlops.pipeline.image" -}}
{{- include "mlops.image" (dict "image" .Values.image "name" "image") }}
{{- end }}

{{/* From the root: the engine's image, or nothing. */}}
{{- define "mlops.engine.image" -}}
{{- include "mlops.image" (dict "image" .Values.engine.image "name" "engine.image") }}
{{- end }}

{{/* From a model {version, digest}: `mlops production` finds and verifies it by these variables. */}}
{{- define "mlops.model" -}}
{{- if .version }}
MLOPS_MODEL_VERSION: {{ .version | quote }}
{{- with .digest }}
MLOPS_MODEL_DIGEST: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* From the root: variables of every pod, as JSON; all get the same environment's name. */}}
{{- define "mlops.common.env" -}}
{{- $ours := dict "MLOPS_ENVIRONMENT" (.Values.environment | default .Release.Namespace) }}
{{- with .Values.monitoring.pushgateway }}
{{- $ours = set $ours "MLOPS_PUSHGATEWAY" . }}
{{- end }}
{{- merge $ours .Values.env | toJson }}
{{- end }}

{{/* From the root: variables of the pipelines' pods, as JSON; the release takes precedence. */}}
{{- define "mlops.pipeline.env" -}}
{{- merge (include "mlops.model" .Values.serving.model | fromYaml) (include "mlops.common.env" . | fromJson) | toJson }}
{{- end }}

{{/* From the root: pipelines by name, as JSON; the release's, or else unreleased ones would run. */}}
{{- define "mlops.pipelines" -}}
{{- .Values.graph | default .Values.pipelines | toJson }}
{{- end }}

{{/* From the root: what is suspended: true (all pipelines), false, or their names with commas. */}}
{{- define "mlops.suspend" -}}
{{- if kindIs "bool" .Values.suspend }}
{{- .Values.suspend }}
{{- else }}
{{- $names := concat (keys .Values.pipelines) (keys .Values.graph) | uniq | sortAlpha }}
{{- range .Values.suspend }}
{{- /* A pipeline may be new, in pipelines.json alone, or removed, in the release alone. */}}
{{- if and $names (not (has . $names)) }}
{{- fail (printf "suspend: there is no pipeline %s, but %s" . (join ", " $names)) }}
{{- end }}
{{- end }}
{{- join "," .Values.suspend }}
{{- end }}
{{- end }}

{{/* From the root: "true" if a schedule starts a pipeline that pushes batch metrics, or nothing. */}}
{{- define "mlops.batch.scheduled" -}}
{{- $suspend := include "mlops.suspend" . }}
{{- if and (include "mlops.pipeline.image" .) (ne $suspend "true") }}
{{- range $name, $pipeline := include "mlops.pipelines" . | fromJson }}
{{- if and $pipeline.schedule (not (has $name (splitList "," $suspend))) }}
{{- range $pipeline.stages }}
{{- if eq .stage "batch/dvc.yaml:drift" }}true{{ end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* From root, name and optional annotations: the ServiceAccount of one kind of pod. */}}
{{- define "mlops.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .root.Release.Name }}-{{ .name }}
  labels:
    {{- include "mlops.labels" .root | nindent 4 }}
  {{- with merge (dict) (.annotations | default dict) .root.Values.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* From root, env and ours, two maps: the variables of a container; ours override env. */}}
{{- define "mlops.env" -}}
env:
  {{- range $key, $value := merge (dict) .ours .env (include "mlops.common.env" .root | fromJson) }}
  - name: {{ $key }}
    value: {{ $value | quote }}
  {{- end }}
{{- end }}

{{/* From a list of names of Secrets: the variables of a container that are their keys. */}}
{{- define "mlops.envFrom" -}}
{{- with uniq . }}
envFrom:
  {{- range . }}
  - secretRef:
      name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* From root, component and optional labels, its own: labels and annotations of a pod. */}}
{{- define "mlops.podMetadata" -}}
labels:
  {{- include "mlops.selectorLabels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
  {{- range $key, $value := .labels }}
  {{ $key }}: {{ $value | quote }}
  {{- end }}
  {{- with .root.Values.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with include "mlops.podAnnotations" .root | fromYaml }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* From the root: annotations of pods; a changed source of a Secret restarts them. */}}
{{- define "mlops.podAnnotations" -}}
{{- with .Values.externalSecrets }}
checksum/external-secrets: {{ toJson . | sha256sum | trunc 16 }}
{{- end }}
{{- with .Values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* From the root: fields of every pod, within the restricted Pod Security Standard. */}}
{{- define "mlops.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "mlops.podSecurity" . | nindent 2 }}
{{- include "mlops.placing" . }}
{{- end }}

{{/* From the root: the nodes of pods. */}}
{{- define "mlops.placing" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Without arguments: security context of pods. */}}
{{- define "mlops.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Without arguments: security context of containers: restricted, and with a read-only root. */}}
{{- define "mlops.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Without arguments: a volume with a one-hour token of the pod's account. */}}
{{- define "mlops.apiToken" -}}
name: api-token
projected:
  sources:
    - serviceAccountToken:
        path: token
    - configMap:
        name: kube-root-ca.crt
        items:
          - key: ca.crt
            path: ca.crt
    - downwardAPI:
        items:
          - path: namespace
            fieldRef:
              fieldPath: metadata.namespace
{{- end }}

{{/* Without arguments: the mount of that volume, for the containers that need the token. */}}
{{- define "mlops.apiTokenMount" -}}
name: api-token
mountPath: /var/run/secrets/kubernetes.io/serviceaccount
readOnly: true
{{- end }}

{{/* From {cidrs, namespaces}: peers of a NetworkPolicy. */}}
{{- define "mlops.peers" -}}
{{- range .cidrs }}
- ipBlock:
    cidr: {{ . }}
{{- end }}
{{- range .namespaces }}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ . }}
{{- end }}
{{- end }}

{{/* From the root: Prometheus as a named peer, as YAML; nothing without monitoring. */}}
{{- define "mlops.prometheus" -}}
{{- if .Values.monitoring.enabled }}
prometheus: {namespaces: [{{ .Values.monitoring.namespace }}]}
{{- end }}
{{- end }}

{{/* From root, component, port and peers by name: a policy for each peer that may connect. */}}
{{- define "mlops.openings" -}}
{{- range $name, $from := .peers }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ $.root.Release.Name }}-{{ $.component }}-{{ $name }}
  labels:
    {{- include "mlops.labels" $.root | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "mlops.selectorLabels" $.root | nindent 6 }}
      app.kubernetes.io/component: {{ $.component }}
  policyTypes: [Ingress]
  ingress:
    - ports:
        - port: {{ $.port }}
      from:
        {{- include "mlops.peers" $from | nindent 8 }}
{{- end }}
{{- end }}
