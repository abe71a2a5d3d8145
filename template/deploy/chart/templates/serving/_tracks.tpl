{{/* From the root: the tracks of the service, stable, canary and shadow, as a list; maybe none. */}}
{{- define "mlops.serving.tracks" -}}
{{- $serving := .Values.serving }}
{{- $image := include "mlops.image" (dict "image" $serving.image "name" "serving.image") }}
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
{{- fail (printf "serving.%s has a model but gets no requests: set serving.route.parentRefs to the Gateway that splits them" $track) }}
{{- end }}
- name: {{ $track }}
  track: {{ $track }}
  image: {{ include "mlops.image" (dict "image" .image "name" (printf "serving.%s.image" $track)) | default $image }}
  model: {{ toJson .model }}
  challenger: {version: ""}
  replicas: {{ .replicas | int }}
  scaled: false
{{- else if .weight }}
{{- fail (printf "serving.%s.weight is %v, but serving.%s.model.version is empty: set the version" $track .weight $track) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* From root and track, a name: labels by which Services and policies select the track's pods. */}}
{{- define "mlops.serving.selector" -}}
{{ include "mlops.selectorLabels" .root }}
app.kubernetes.io/component: serve
mlops/track: {{ .track }}
{{- end }}

{{/* From root, image, model and folder: a container that fetches and verifies a model. */}}
{{- define "mlops.serving.fetch" -}}
{{- $ours := include "mlops.model" .model | fromYaml }}
- name: fetch-{{ .folder }}
  image: {{ .image }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: [mlops, production, --to, /model/{{ .folder }}]
  {{- include "mlops.env" (dict "root" .root "env" .root.Values.serving.env "ours" $ours) | nindent 2 }}
  {{- include "mlops.envFrom" (concat .root.Values.envFrom .root.Values.serving.envFrom) | nindent 2 }}
  resources:
    {{- toYaml .root.Values.serving.resources | nindent 4 }}
  securityContext:
    {{- include "mlops.restricted" .root | nindent 4 }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
    - {name: model, mountPath: /model}
{{- end }}
