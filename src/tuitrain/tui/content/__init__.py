"""What stands on the screens as lines of text: headers, tables, lists, reports. Pure functions of the state."""
