{{/* Without arguments: a patch for Argo's own two containers, which alone get the pod's token. */}}
{{- define "mlops.argo.podSpecPatch" -}}
initContainers:
  - name: init
    {{- include "mlops.argo.executor" . | nindent 4 }}
containers:
  - name: wait
    {{- include "mlops.argo.executor" . | nindent 4 }}
volumes:
  - {{- include "mlops.apiToken" . | nindent 4 }}
{{- end }}

{{/* Without arguments: settings of such a container: restricted, with resources for quotas. */}}
{{- define "mlops.argo.executor" -}}
securityContext:
  {{- include "mlops.restricted" . | nindent 2 }}
resources:
  requests: {cpu: 10m, memory: 64Mi}
  limits: {cpu: "1", memory: 256Mi}
volumeMounts:
  - {{- include "mlops.apiTokenMount" . | nindent 4 }}
{{- end }}
