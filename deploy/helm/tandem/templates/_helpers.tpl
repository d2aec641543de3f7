{{- define "tandem.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "tandem.selector" -}}
app.kubernetes.io/name: tandem
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tandem.labels" -}}
{{ include "tandem.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "tandem.pod" -}}
metadata:
  labels:
    {{- include "tandem.labels" . | nindent 4 }}
  annotations:
    checksum/config: {{ toYaml .Values.config | sha256sum }}
    prometheus.io/scrape: "true"
    prometheus.io/port: "9090"
spec:
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile: {type: RuntimeDefault}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: 40
  {{- if .Values.existingSecret }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "tandem.selector" . | nindent 10 }}
  {{- end }}
  containers:
    - name: tandem
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve]
      env:
        - {name: TANDEM_CONFIG, value: /etc/tandem/tandem.yaml}
        {{- if .Values.existingSecret }}
        - {name: TANDEM_STORE_FILE, value: /run/secrets/tandem/store-url}
        - {name: TANDEM_MASTER_KEY_FILE, value: /run/secrets/tandem/master-key}
        {{- else }}
        - {name: TANDEM_DATA, value: /data}
        {{- end }}
        - {name: GOMEMLIMIT, value: {{ .Values.goMemLimit | quote }}}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      ports:
        - {name: http, containerPort: 8080}
        - {name: metrics, containerPort: 9090}
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 2
        failureThreshold: 2
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 10
        failureThreshold: 3
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - {name: config, mountPath: /etc/tandem, readOnly: true}
        {{- if .Values.existingSecret }}
        - {name: secrets, mountPath: /run/secrets/tandem, readOnly: true}
        {{- else }}
        - {name: data, mountPath: /data}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "tandem.name" . }}}
    {{- if .Values.existingSecret }}
    - name: secrets
      secret: {secretName: {{ .Values.existingSecret }}, defaultMode: 0440}
    {{- end }}
{{- end }}
