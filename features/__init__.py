"""What is known about a customer at a moment: tables in, snapshots out, and nothing from after `as_of`.

tables = load_tables(settings, folder)             # sources: SQL in, checked Arrow tables out
histories = build_histories(tables.tables)         # every customer's dated facts, sorted
fitted = fit_features(histories, settings, …)      # names and population of this company
fitted.snapshots(histories, [as_of])               # float32[customers, dates, features]
"""
