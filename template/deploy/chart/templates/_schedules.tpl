{{/*
Of (list ROOT ENGINE ENV): after each deployment, a Job of the engine's image that makes the engine's
schedules those of the pipelines. No manifest can name them: they live in the engine's own store.
*/}}
{{- define "schedules" -}}
{{- $root := first . }}
{{- $engine := index . 1 }}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ $root.Release.Name }}-schedules
  labels:
    {{- include "labels" $root | nindent 4 }}
  annotations:
    helm.sh/hook: post-install,post-upgrade
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
    # As Argo CD reads it, helm's would wait until all is healthy, and a rollback with it.
    argocd.argoproj.io/hook: Sync
    argocd.argoproj.io/hook-delete-policy: BeforeHookCreation,HookSucceeded
spec:
  backoffLimit: 4
  activeDeadlineSeconds: 600
  ttlSecondsAfterFinished: 86400
  template:
    metadata:
      {{- include "podMetadata" (list $root "schedules" (dict)) | nindent 6 }}
    spec:
      restartPolicy: Never
      serviceAccountName: {{ $root.Release.Name }}-pipeline
      {{- include "pod" $root | nindent 6 }}
      containers:
        - name: schedules
          image: {{ include "engine.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          command: [python, orchestration/{{ $engine }}/schedule.py]
          workingDir: /app
          {{- include "env" (list $root $root.Values.engine (merge (dict "MLOPS_SUSPEND" (include "suspend" $root)) (last .))) | nindent 10 }}
          {{- include "envFrom" $root.Values.engine.envFrom | nindent 10 }}
          resources:
            {{- toYaml $root.Values.engine.resources | nindent 12 }}
          securityContext:
            {{- include "restricted" $root | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
      volumes:
        - name: tmp
          emptyDir: {}
{{- end }}
