"""What keys open of the dashboard's API from 4.26 on: adapters, profiles, routes, conversations."""
