{{/*
From root, name and pipeline: the pipeline as compiled by Kubeflow. pipeline.py does the same in
Python, and its tests compare the two. A version's name is a hash of this text, # comments included.
*/}}
{{- define "mlops.kubeflow.spec" -}}
{{- $image := include "mlops.pipeline.image" .root }}
pipelineSpec:
  schemaVersion: 2.1.0
  sdkVersion: kfp-2.17.3
  pipelineInfo:
    name: {{ .root.Chart.Name }}-{{ .name }}
  components:
    {{- range .pipeline.stages }}
    comp-{{ .id }}:
      executorLabel: exec-{{ .id }}
      inputDefinitions:
        parameters:
          date: {parameterType: STRING}
          run_id: {parameterType: STRING}
    {{- end }}
  deploymentSpec:
    executors:
      {{- range .pipeline.stages }}
      exec-{{ .id }}:
        container:
          image: {{ $image }}
          command: [mlops]
          args: [stage, {{ .stage | quote }}, --run-id, {{ "{{$.inputs.parameters['run_id']}}" | quote }}, --date, {{ "{{$.inputs.parameters['date']}}" | quote }}]
          env:
            # As many threads as the stage has cores, and not as the node has.
            - name: OMP_NUM_THREADS
              {{- $milli := .resources.cpu | trimSuffix "m" | float64 }}
              value: {{ ternary (divf $milli 1000) $milli (hasSuffix "m" .resources.cpu) | ceil | int | quote }}
            {{- range $key, $value := include "mlops.pipeline.env" $.root | fromJson }}
            - name: {{ $key }}
              value: {{ $value | quote }}
            {{- end }}
            - name: MLOPS_ENGINE
              value: kubeflow
          resources:
            resourceCpuRequest: {{ .resources.cpu | quote }}
            resourceCpuLimit: {{ .resources.cpu | quote }}
            resourceMemoryRequest: {{ .resources.memory | quote }}
            resourceMemoryLimit: {{ .resources.memory | quote }}
            {{- with .gpu }}
            accelerator:
              resourceType: nvidia.com/gpu
              resourceCount: {{ int . | quote }}
            {{- end }}
      {{- end }}
  root:
    inputDefinitions:
      parameters:
        # Empty: the latest day. A schedule gives the day that its run was due.
        date: {defaultValue: "", isOptional: true, parameterType: STRING}
    dag:
      tasks:
        {{- range .pipeline.stages }}
        {{ .id }}:
          taskInfo: {name: {{ .id }}}
          componentRef: {name: comp-{{ .id }}}
          cachingOptions: {}
          inputs:
            parameters:
              date: {componentInputParameter: date}
              run_id:
                runtimeValue: {constant: {{ "{{$.pipeline_job_uuid}}" | quote }}}
          {{- with .needs }}
          dependentTasks: {{ sortAlpha . | toJson }}
          {{- end }}
          {{- if .retries }}
          retryPolicy:
            maxRetryCount: {{ int .retries }}
            backoffDuration: 30s
            backoffFactor: 2
            # Kubeflow's own limit, an hour from the first try, is less than a stage may take.
            backoffMaxDuration: {{ mul (add1 .retries) (add .timeout 3600) }}s
          {{- end }}
        {{- end }}
platformSpec:
  platforms:
    kubernetes:
      deploymentSpec:
        executors:
          {{- range .pipeline.stages }}
          exec-{{ .id }}:
            activeDeadlineSeconds: {{ int .timeout | quote }}
            imagePullPolicy: {{ $.root.Values.image.pullPolicy }}
            podMetadata:
              {{- include "mlops.podMetadata" (dict "root" $.root "component" "pipeline") | nindent 14 }}
            {{- with $.root.Values.nodeSelector }}
            nodeSelector:
              labels:
                {{- toYaml . | nindent 16 }}
            {{- end }}
            {{- with $.root.Values.tolerations }}
            tolerations:
              {{- toYaml . | nindent 14 }}
            {{- end }}
            {{- with $.root.Values.imagePullSecrets }}
            imagePullSecret:
              {{- range . }}
              - {secretName: {{ . }}, secretNameParameter: {runtimeValue: {constant: {{ . }}}}}
              {{- end }}
            {{- end }}
            {{- with $.root.Values.engine.secretKeys }}
            secretAsEnv:
              {{- range $secret, $keys := . }}
              {{- range $keys }}
              - secretName: {{ $secret }}
                secretNameParameter: {runtimeValue: {constant: {{ $secret }}}}
                optional: false
                keyToEnv: [{secretKey: {{ . }}, envVar: {{ . }}}]
              {{- end }}
              {{- end }}
            {{- end }}
          {{- end }}
{{- end }}

{{/* From root, name and pipeline: a version's name, new for new content: versions are immutable. */}}
{{- define "mlops.kubeflow.version" -}}
{{- printf "%s-%s-%s" .root.Release.Name .name (include "mlops.kubeflow.spec" . | sha256sum | trunc 10) }}
{{- end }}
