{{/* By these, Services and policies find pods: they never change. */}}
{{- define "selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "labels" -}}
{{ include "selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* An image by digest or tag, of (list VALUE ITS-NAME); empty as long as there is neither. */}}
{{- define "image" -}}
{{- $name := last . }}
{{- with first . }}
{{- if or .digest .tag }}
{{- required (printf "%s.repository is empty: say where the image is" $name) .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "pipeline.image" -}}
{{- include "image" (list .Values.image "image") }}
{{- end }}

{{- define "engine.image" -}}
{{- include "image" (list .Values.engine.image "engine.image") }}
{{- end }}

{{/* Of a {version, digest}: by these variables `mlops production` finds and checks it, as a map. */}}
{{- define "model" -}}
{{- if .version }}
MLOPS_MODEL_VERSION: {{ .version | quote }}
{{- with .digest }}
MLOPS_MODEL_DIGEST: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The variables that every pod gets, as a map: the environment's name is the same in all of them. */}}
{{- define "common.env" -}}
{{- $ours := dict "MLOPS_ENVIRONMENT" (.Values.environment | default .Release.Namespace) }}
{{- with .Values.monitoring.pushgateway }}
{{- $ours = set $ours "MLOPS_PUSHGATEWAY" . }}
{{- end }}
{{- merge $ours .Values.env | toJson }}
{{- end }}

{{/* The variables of the pipelines' pods, as a map; what is released wins. */}}
{{- define "pipeline.env" -}}
{{- merge (include "model" .Values.serving.model | fromYaml) (include "common.env" . | fromJson) | toJson }}
{{- end }}

{{/* The pipelines by name: a release's alone, or what is merged and not released would run beside them. */}}
{{- define "pipelines" -}}
{{- .Values.graph | default .Values.pipelines | toJson }}
{{- end }}

{{/*
Which pipelines no schedule starts: true (all), false, or names with commas between them. A name may
come before its pipeline is released, and stay until nothing has it.
*/}}
{{- define "suspend" -}}
{{- if kindIs "bool" .Values.suspend }}
{{- .Values.suspend }}
{{- else }}
{{- $known := concat (keys .Values.pipelines) (keys .Values.graph) | uniq | sortAlpha }}
{{- range .Values.suspend }}
{{- if and $known (not (has . $known)) }}
{{- fail (printf "suspend: there is no pipeline %s, but %s" . (join ", " $known)) }}
{{- end }}
{{- end }}
{{- join "," .Values.suspend }}
{{- end }}
{{- end }}

{{/* Whether a schedule starts a pipeline that tells Prometheus of its batch: "true", or nothing. */}}
{{- define "batch.scheduled" -}}
{{- $suspend := include "suspend" . }}
{{- if and (include "pipeline.image" .) (ne $suspend "true") }}
{{- range $name, $pipeline := include "pipelines" . | fromJson }}
{{- if and $pipeline.schedule (not (has $name (splitList "," $suspend))) }}
{{- range $pipeline.stages }}
{{- if eq .stage "batch/dvc.yaml:drift" }}true{{ end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Of (list ROOT NAME ANNOTATIONS): the account of one kind of pod. */}}
{{- define "serviceAccount" -}}
{{- $root := first . }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $root.Release.Name }}-{{ index . 1 }}
  labels:
    {{- include "labels" $root | nindent 4 }}
  {{- with merge (dict) (last .) $root.Values.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Of (list ROOT VALUES OURS): variables of a container; ours win, then the component's. */}}
{{- define "env" -}}
env:
  {{- range $key, $value := merge (dict) (last .) (index . 1).env (include "common.env" (first .) | fromJson) }}
  - name: {{ $key }}
    value: {{ $value | quote }}
  {{- end }}
{{- end }}

{{/* Of a list of Secrets' names. */}}
{{- define "envFrom" -}}
{{- with uniq . }}
envFrom:
  {{- range . }}
  - secretRef:
      name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Of (list ROOT COMPONENT LABELS): the labels and annotations of a pod; LABELS are its own. */}}
{{- define "podMetadata" -}}
{{- $root := first . -}}
labels:
  {{- include "selectorLabels" $root | nindent 2 }}
  app.kubernetes.io/component: {{ index . 1 }}
  {{- range $key, $value := last . }}
  {{ $key }}: {{ $value | quote }}
  {{- end }}
  {{- with $root.Values.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with include "podAnnotations" $root | fromYaml }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* As a map. Where a Secret comes from elsewhere from now on, pods start anew. */}}
{{- define "podAnnotations" -}}
{{- with .Values.externalSecrets }}
checksum/external-secrets: {{ toJson . | sha256sum | trunc 16 }}
{{- end }}
{{- with .Values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Where pods go, and whom they are on the node: what the restricted standard asks of a pod. */}}
{{- define "pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "podSecurity" . | nindent 2 }}
{{- include "placing" . }}
{{- end }}

{{- define "placing" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What the restricted Pod Security Standard asks of a container, and a read-only root. */}}
{{- define "restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The token of a pod's account, of an hour, for the containers that mount it: the others have none. */}}
{{- define "apiToken" -}}
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

{{- define "apiTokenMount" -}}
name: api-token
mountPath: /var/run/secrets/kubernetes.io/serviceaccount
readOnly: true
{{- end }}

{{/* Peers of a NetworkPolicy, of {cidrs, namespaces}. */}}
{{- define "peers" -}}
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

{{/* Who reads metrics, as a peer by its name; nobody where nothing is monitored. */}}
{{- define "prometheus" -}}
{{- if .Values.monitoring.enabled }}
prometheus: {namespaces: [{{ .Values.monitoring.namespace }}]}
{{- end }}
{{- end }}

{{/* Of (list ROOT COMPONENTS PORT PEERS): the openings of a component's pods, by name. */}}
{{- define "openings" -}}
{{- $root := first . }}
{{- $component := index . 1 }}
{{- $port := index . 2 }}
{{- range $name, $from := last . }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ $root.Release.Name }}-{{ $component }}-{{ $name }}
  labels:
    {{- include "labels" $root | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "selectorLabels" $root | nindent 6 }}
      app.kubernetes.io/component: {{ $component }}
  policyTypes: [Ingress]
  ingress:
    - ports:
        - port: {{ $port }}
      from:
        {{- include "peers" $from | nindent 8 }}
{{- end }}
{{- end }}
