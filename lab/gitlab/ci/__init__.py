"""From the text of a `.gitlab-ci.yml` to the jobs of one pipeline: `document` -> `keywords` -> `config` -> `rules`."""
