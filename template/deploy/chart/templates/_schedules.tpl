{{/*
From root, engine and optional ours, its variables: a Job of the engine's image that syncs the
engine's schedules after each deployment. They are in its own store, so no manifest can hold them.
*/}}
{{- define "mlops.schedules" -}}
{{- $ours := merge (dict "MLOPS_SUSPEND" (include "mlops.suspend" .root)) (.ours | default dict) }}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .root.Release.Name }}-schedules
  labels:
    {{- include "mlops.labels" .root | nindent 4 }}
  annotations:
    helm.sh/hook: post-install,post-upgrade
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
    # Argo CD would run Helm's hook only once all is healthy, which would block a rollback.
    argocd.argoproj.io/hook: Sync
    argocd.argoproj.io/hook-delete-policy: BeforeHookCreation,HookSucceeded
spec:
  backoffLimit: 4
  activeDeadlineSeconds: 600
  ttlSecondsAfterFinished: 86400
  template:
    metadata:
      {{- include "mlops.podMetadata" (dict "root" .root "component" "schedules") | nindent 6 }}
    spec:
      restartPolicy: Never
      serviceAccountName: {{ .root.Release.Name }}-pipeline
      {{- include "mlops.pod" .root | nindent 6 }}
      containers:
        - name: schedules
          image: {{ include "mlops.engine.image" .root }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          command: [python, orchestration/{{ .engine }}/schedule.py]
          workingDir: /app
          {{- include "mlops.env" (dict "root" .root "env" .root.Values.engine.env "ours" $ours) | nindent 10 }}
          {{- include "mlops.envFrom" .root.Values.engine.envFrom | nindent 10 }}
          resources:
            {{- toYaml .root.Values.engine.resources | nindent 12 }}
          securityContext:
            {{- include "mlops.restricted" .root | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
      volumes:
        - name: tmp
          emptyDir: {}
{{- end }}
