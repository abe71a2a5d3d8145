{{/*
The kinds of pods that serve: stable, and canary and shadow where they have a model. None as long as
there is no image or no model.
*/}}
{{- define "serving.tracks" -}}
{{- $serving := .Values.serving }}
{{- $image := include "image" (list $serving.image "serving.image") }}
{{- if and $image $serving.model.version }}
- name: serve
  track: stable
  image: {{ $image }}
  model: {{ toJson $serving.model }}
  challenger: {{ toJson $serving.challenger }}
  replicas: {{ $serving.replicas | int }}
  scaled: {{ gt (int $serving.maxReplicas) (int $serving.replicas) }}
{{- range $track := list "canary" "shadow" }}
{{- with index $serving $track }}
{{- if .model.version }}
{{- if not $serving.route.parentRefs }}
{{- fail (printf "serving.%s has a model and no requests: say in serving.route.parentRefs which Gateway splits them" $track) }}
{{- end }}
- name: {{ $track }}
  track: {{ $track }}
  image: {{ include "image" (list .image (printf "serving.%s.image" $track)) | default $image }}
  model: {{ toJson .model }}
  challenger: {version: ""}
  replicas: {{ .replicas | int }}
  scaled: false
{{- else if .weight }}
{{- fail (printf "serving.%s.weight is %v, and serving.%s.model.version is empty: say which version" $track .weight $track) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Of (list ROOT TRACK): by what Services and policies find its pods. */}}
{{- define "serving.selector" -}}
{{ include "selectorLabels" (first .) }}
app.kubernetes.io/component: serve
mlops/track: {{ last . }}
{{- end }}

{{/* Of (list ROOT TRACK MODEL FOLDER): fetches a model and checks its digest. */}}
{{- define "serving.fetch" -}}
{{- $root := first . }}
{{- $model := index . 2 }}
- name: fetch-{{ last . }}
  image: {{ (index . 1).image }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  command: [mlops, production, --to, /model/{{ last . }}]
  {{- include "env" (list $root $root.Values.serving (include "model" $model | fromYaml)) | nindent 2 }}
  {{- include "envFrom" (concat $root.Values.envFrom $root.Values.serving.envFrom) | nindent 2 }}
  resources:
    {{- toYaml $root.Values.serving.resources | nindent 4 }}
  securityContext:
    {{- include "restricted" $root | nindent 4 }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
    - {name: model, mountPath: /model}
{{- end }}
