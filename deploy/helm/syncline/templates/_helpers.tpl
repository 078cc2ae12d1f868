{{- define "syncline.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* At most 52 characters, so that -migrate and a pod's suffix fit into 63. */}}
{{- define "syncline.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "syncline.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "syncline.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "syncline.selectorLabels" -}}
app.kubernetes.io/name: {{ include "syncline.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "syncline.labels" -}}
{{ include "syncline.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "syncline.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- if hasPrefix "sha256:" $tag -}}
{{ .Values.image.repository }}@{{ $tag }}
{{- else -}}
{{ .Values.image.repository }}:{{ $tag }}
{{- end -}}
{{- end }}

{{- define "syncline.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "syncline.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end }}

{{- /* How long Kubernetes waits before it kills: the workers' own grace period, and time to leave. */}}
{{- define "syncline.terminationGracePeriodSeconds" -}}
{{- $queue := .Values.config.queue | default dict -}}
{{- $grace := 25 -}}
{{- if hasKey $queue "grace_seconds" }}{{ $grace = $queue.grace_seconds }}{{ end -}}
{{- add (int $grace) 15 -}}
{{- end }}

{{- define "syncline.databaseVariable" -}}
- name: SYNCLINE__DATABASE__{{ .variable }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end }}

{{- /* What every process of the program is told, besides its database. */}}
{{- define "syncline.environment" -}}
{{- with .Values.encryptionKey.existingSecret }}
- name: SYNCLINE__SECRETS__KEY
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.Values.encryptionKey.key }}
{{- end }}
- name: SYNCLINE__HTTP__ADDRESS
  value: {{ printf "0.0.0.0:%d" (int .Values.http.port) | quote }}
- name: SYNCLINE__LOG__FORMAT
  value: {{ dig "log" "format" "json" .Values.config | quote }}
{{- if .Values.alertTemplates.existingConfigMap }}
- name: SYNCLINE__ALERTS__TEMPLATES
  value: /etc/syncline/templates
{{- end }}
{{- range $section, $settings := .Values.config }}
{{- range $key, $value := $settings }}
{{- if ne (printf "%s.%s" $section $key) "log.format" }}
- name: SYNCLINE__{{ upper $section }}__{{ upper $key }}
  {{- /* Numbers come as floating point: a million would be written 1e+06. */}}
  value: {{ kindIs "float64" $value | ternary (int64 $value) $value | toString | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.caBundle.existingConfigMap }}
- name: SSL_CERT_FILE
  value: {{ printf "/etc/syncline/ca/%s" .Values.caBundle.key | quote }}
{{- end }}
{{- with .Values.proxy.https }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .Values.proxy.http }}
- name: HTTP_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .Values.proxy.noProxy }}
- name: NO_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* A migration needs neither tokens nor templates: it is `lean`. */}}
{{- define "syncline.volumeMounts" -}}
{{- if or (and (not .lean) (or .Values.credentials.existingSecret .Values.alertTemplates.existingConfigMap)) .Values.caBundle.existingConfigMap .Values.extraVolumeMounts }}
volumeMounts:
  {{- if and .Values.credentials.existingSecret (not .lean) }}
  - name: credentials
    mountPath: {{ .Values.credentials.mountPath }}
    readOnly: true
  {{- end }}
  {{- if and .Values.alertTemplates.existingConfigMap (not .lean) }}
  - name: alert-templates
    mountPath: /etc/syncline/templates
    readOnly: true
  {{- end }}
  {{- if .Values.caBundle.existingConfigMap }}
  - name: ca-bundle
    mountPath: /etc/syncline/ca
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "syncline.volumes" -}}
{{- if or (and (not .lean) (or .Values.credentials.existingSecret .Values.alertTemplates.existingConfigMap)) .Values.caBundle.existingConfigMap .Values.extraVolumes }}
volumes:
  {{- if and .Values.credentials.existingSecret (not .lean) }}
  - name: credentials
    secret:
      secretName: {{ .Values.credentials.existingSecret }}
      defaultMode: 0440
  {{- end }}
  {{- if and .Values.alertTemplates.existingConfigMap (not .lean) }}
  - name: alert-templates
    configMap:
      name: {{ .Values.alertTemplates.existingConfigMap }}
  {{- end }}
  {{- with .Values.caBundle.existingConfigMap }}
  - name: ca-bundle
    configMap:
      name: {{ . }}
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* Where pods run, and who pulls their image. */}}
{{- define "syncline.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}
