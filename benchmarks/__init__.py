"""What Flotilla costs, as ratios measured in one run: a number of another machine says nothing about this one."""
