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
  - name: api-token
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

{{- define "argo.executor" -}}
securityContext:
  {{- include "restricted" . | nindent 2 }}
resources:
  requests: {cpu: 10m, memory: 64Mi}
  limits: {cpu: "1", memory: 256Mi}
volumeMounts:
  - name: api-token
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
{{- end }}
