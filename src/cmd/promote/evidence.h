/* evidence: what a model came to on a requirement's rows, line by line, as `eval --log-samples` and `eval --details`
 * write them, kept in a folder: a file KEY.jsonl, where KEY is a hash of all that its lines follow from: the weights'
 * bytes, the adapter's, the arithmetic, this version, the rows and what was asked of them. So what was measured once is
 * read again, and what is not exactly this is not there. */
#ifndef CMD_EVIDENCE_H
#define CMD_EVIDENCE_H

#include "cmd/model_common.h"
#include "cmd/promote/requirements.h"

/* A model, or one with an adapter, that is measured. */
struct evidence_side {
	struct app *app;
	const char *path, *adapter;    /* adapter: or NULL */
	const char *folder;            /* of evidence */
	const char *compute;
	struct loaded l;
	char hash[33], adapter_hash[33];
	bool ready;                    /* for passes: done once something is not kept */
};

struct evidence {
	double *value;                 /* [n] of the metric, a row each; of a perplexity −Σ log p over its weight */
	double *weight;                /* [n] tokens or words of a perplexity; else NULL */
	size_t *cluster;               /* [n] or NULL */
	json_t *ids;                   /* [n] which rows they are */
	size_t n;
	bool higher_is_better, perplexity;
	bool kept;                     /* it was there */
	char *file, hash[33];          /* of its bytes */
};

int evidence_open(struct evidence_side *s, struct err *e);
int evidence_get(struct evidence *v, struct evidence_side *s, const struct requirement *r, struct err *e);
void evidence_release(struct evidence *v);
void evidence_close(struct evidence_side *s);

#endif
