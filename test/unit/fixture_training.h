/* fixture_training: runs on the tiny models of test/golden for tests. */
#ifndef FIXTURE_TRAINING_H
#define FIXTURE_TRAINING_H

#include "../test.h"

#include "train/recipe.h"
#include "train/trainer.h"

/* A recipe from option values; strings live in the job. */
struct job {
	struct recipe recipe;
	struct opt_parse parse;
	char *model, *data, *out;
};

/* assignments: "name=value name=value …" */
void job_init(struct test *t, struct job *j, const char *model, const char *data, const char *assignments);
void job_release(struct job *j);
void params_hash(const struct params *p, char hex[33]);

/* Opened and started; false and a failed check else. */
struct training { struct pool *pool; struct device device; struct trainer *trainer; };
bool training_begin(struct test *t, struct training *s, const struct job *j, int threads);
/* With an objective that is in no table. */
bool training_begin_with(struct test *t, struct training *s, const struct job *j, const struct objective *o,
                         int threads);
void training_end(struct training *s);
void training_steps(struct test *t, struct training *s, int n, double *losses);
/* The weights after all steps of a job. */
void training_run(struct test *t, const char *model, const char *data, const char *assignments, int threads,
                  char hex[33], struct trainer_plan *plan);
/* n rows of prompt and completion, of many lengths, some of which begin alike: the file's path. */
char *write_rows(struct test *t, size_t n);
/* Rows whose prompts begin with one sentence, differ, and end with "::", which calls an adapter. */
char *write_calls(struct test *t);

#endif
