// No tour and no questions at the first start.
module.exports = {
  editorTheme: { tours: false, projects: { enabled: false } },
  telemetry: { enabled: false, updateNotification: false },
};
