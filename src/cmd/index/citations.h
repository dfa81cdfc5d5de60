/* citations: which of its sources an answer rests on, without a judge (eval/grounding.h), and what an answer took, part
 * by part (gas/answer_gas.h). What generate, its rows and chat share. */
#ifndef CMD_INDEX_CITATIONS_H
#define CMD_INDEX_CITATIONS_H

#include "cmd/index/sources_options.h"
#include "cmd/metering.h"
#include "cmd/model_common.h"
#include "eval/grounding.h"
#include "gas/answer_gas.h"

#define CITATIONS_OPTS(s, f) \
	OPT_FLAG("citations", s, f.citations, "false", \
	         "says which sources the answer rests on: how much less likely it is without each"), \
		OPT_FLOAT("citation-threshold", s, f.citation_threshold, "0", -1e9, 1e9, \
	                  "nats that the interval of a source's support is above, where it is cited")

/* prompts[n + 1]: with all sources, then without each; answer: with the special token that ended it, or without. n 0,
 * or an empty answer: there is nothing to tell. */
int citations_measure(struct grounding *g, struct model *m, const struct overlay *o, struct device *d,
                      const struct tokens *prompts, size_t n, const struct tokens *answer, struct err *e);
/* How rows are asked: as `generate` does, or, by their shape, as `eval` does, without the answer at their end. */
struct citations_how { struct prompt_options prompt; const struct shape *shape; };
int citations_ask(const struct loaded *l, const struct row *r, const struct citations_how *how, struct tokens *ids,
                  struct err *e);
/* prompts[1 … n]: of a row of sources_rows, without each of its n sources (sources_kept); r: as it was before. */
int citations_encode(struct sources *s, const struct loaded *l, const struct row *r, size_t row,
                     const struct citations_how *how, struct tokens *prompts, size_t n, struct err *e);
/* found: what the sources are (sources.h). For eyes, and as `citations` and `supported` of j. */
void citations_show(const struct grounding *g, const struct sources_options *o, const json_t *found);
void citations_put(const struct grounding *g, const struct sources_options *o, const json_t *found, json_t *j);
void citations_release(struct grounding *g);

/* What was used since the span was opened; of an answer, parted by the seconds of reading and of writing. */
void answer_gas_add(struct answer_gas *g, enum answer_part part, const struct meter_span *since);
void answer_gas_answer(struct answer_gas *g, const struct meter_span *since, double reading, double writing);
/* For eyes; of that many answers, each. */
void answer_gas_show(const struct answer_gas *g, double answers);

#endif
