/* prices_carbon: grams of CO2 equivalent a kWh of a country's electricity. */
#ifndef GAS_PRICES_CARBON_H
#define GAS_PRICES_CARBON_H

struct region { const char *code; double grams; int year; };
extern const struct region regions[]; /* ends with a NULL code; "WORLD" is the mean by generation */
extern const char *const regions_source;

#endif
