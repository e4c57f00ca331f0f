% weights = read_carousel(file): all arrays of a file in Carousel's layout, under their parameter keys.
%
% HDF5 arrays are row-major and Octave's are column-major, so `load` gives every array with its axes reversed;
% they are turned back here: weights("lstm/kernel") is I x 4*H, as docs/format.md has it.
% Octave's `load` drops HDF5 attributes; gate orders are in docs/format.md.
function weights = read_carousel (file)
  content = load ("-hdf5", file);
  weights = collect (content.layers, "", containers.Map ());
end

function weights = collect (part, prefix, weights)
  names = fieldnames (part);
  for k = 1:numel (names)
    value = part.(names{k});
    key = [prefix names{k}];
    if isstruct (value)
      weights = collect (value, [key "/"], weights);
    else
      weights(key) = permute (value, ndims (value):-1:1);
    end
  end
end
