{{/*
Argo's own two containers: what the restricted standard and a quota ask of them, and the token that
they alone get, of an hour. The stage's container has none.
*/}}
{{- define "argo.podSpecPatch" -}}
initContainers:
  - name: init
    {{- include "argo.executor" . | nindent 4 }}
containers:
  - name: wait
    {{- include "argo.executor" . | nindent 4 }}
volumes:
  - {{- include "apiToken" . | nindent 4 }}
{{- end }}

{{- define "argo.executor" -}}
securityContext:
  {{- include "restricted" . | nindent 2 }}
resources:
  requests: {cpu: 10m, memory: 64Mi}
  limits: {cpu: "1", memory: 256Mi}
volumeMounts:
  - {{- include "apiTokenMount" . | nindent 4 }}
{{- end }}
