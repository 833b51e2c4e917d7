"""The honest test harness: suites, the JSON ladder, field rules, runs, paired comparison and reports."""
