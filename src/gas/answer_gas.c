/* answer_gas: sums of what was measured, by part. Reading and writing are one span: its gas is dealt out by the seconds
 * of each. */
#include "gas/answer_gas.h"

#include "base/jsonx.h"

const char *const answer_part_names[ANSWER_PARTS] = {
	[PART_RETRIEVAL] = "retrieval", [PART_READING] = "reading", [PART_WRITING] = "writing",
	[PART_CITATIONS] = "citations"
};

static void add(struct answer_gas *g, enum answer_part part, const struct gas *used, double share)
{
	g->seconds[part] += share * used->seconds;
	g->joules[part] += share * used->energy.joules;
}

void answer_gas_took(struct answer_gas *g, enum answer_part part, const struct gas *used) { add(g, part, used, 1); }

void answer_gas_divide(struct answer_gas *g, const struct gas *used, double reading, double writing)
{
	double share = reading + writing > 0 ? reading / (reading + writing) : 1;

	add(g, PART_READING, used, share);
	add(g, PART_WRITING, used, 1 - share);
}

void answer_gas_share(struct answer_gas *g, const struct gas *used, double reading, double writing)
{
	add(g, PART_READING, used, reading);
	add(g, PART_WRITING, used, writing);
}

void answer_gas_less(struct answer_gas *g, const struct answer_gas *before)
{
	double seconds = g->seconds[PART_CITATIONS] - before->seconds[PART_CITATIONS],
	       joules = g->joules[PART_CITATIONS] - before->joules[PART_CITATIONS],
	       all = g->seconds[PART_READING] + g->seconds[PART_WRITING];

	for (int i = PART_READING; i <= PART_WRITING && all > 0; i++) {
		double share = g->seconds[i] / all;
		g->seconds[i] -= share * seconds;
		g->joules[i] -= share * joules;
	}
}

void answer_gas_put(const struct answer_gas *g, double answers, json_t *j)
{
	json_t *parts = json_object();

	for (int i = 0; i < ANSWER_PARTS; i++)
		if (g->seconds[i] > 0)
			json_object_set_new(parts, answer_part_names[i],
			                    json_pack("{s:o, s:o}", "seconds",
			                              jsonx_number(g->seconds[i] / answers), "joules",
			                              jsonx_number(g->joules[i] / answers)));
	json_object_set_new(j, "parts", parts);
}
