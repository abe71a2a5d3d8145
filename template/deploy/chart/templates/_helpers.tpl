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

{{/* The pipeline image by digest or tag; empty as long as there is neither. */}}
{{- define "pipeline.image" -}}
{{- with .Values.image }}
{{- if or .digest .tag }}
{{- required "image.repository is empty: say where the pipeline image is" .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* What the restricted Pod Security Standard asks of a container, and a read-only root. */}}
{{- define "restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
